for x in a "$b" ${c[@]} *.d; do e "$x"; done
for f in {1..3}
do
  g
done
