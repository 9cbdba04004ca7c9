"""Coupons: batches with stock and limits, one coupon in a family's hand, redeemed by an order."""
