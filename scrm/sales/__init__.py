"""What is sold: the catalog with its prices, orders and refunds as the order system tells them."""
