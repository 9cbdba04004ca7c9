"""What is looked at before something is sent to a customer."""
