"""What we give to customers to win or keep them: coupons, with their limits."""
