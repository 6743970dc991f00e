a | b |& c
a |
  # comment
  b
