source=(git+https://example.org/x.git?signed#tag=v1)
