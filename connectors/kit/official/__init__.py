"""What Official Account and mini-program share: the encrypted door, the words, the API they answer by."""
