>a
2>a b <c d
