case $x in
  a) b ;;
  c|d*) e ;&
  (f | "g h") i ;;&
  [0-9]) ;;
  *) j
esac
