a <<< b
read -r x y <<<"$z w"
