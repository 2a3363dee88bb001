"""The pages of studies: data efficiency, learning rate, recover a known update."""
