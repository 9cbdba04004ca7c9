"""The sale at a rep's hand: stage, tags, coupons; and the batches marketing gives them."""
