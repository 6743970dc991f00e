case $x
  a) b;;
esac
