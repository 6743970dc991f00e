depends=( # in front
  a # behind
  # it's alone, with a quote and a )
  'b'#not-a-comment
  c
)
