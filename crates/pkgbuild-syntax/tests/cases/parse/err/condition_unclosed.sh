[[ -f x
y
