x=$(
  a # it's a ) comment
  b
)
