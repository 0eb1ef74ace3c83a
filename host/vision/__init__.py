"""Around the network: photo -> input tensor, output integers -> boxes or labels, and a picture of them."""
