if a; then b; fi
if [[ $x ]]; then
  c
elif d
then e
else
  f
fi > out
