while read -r x; do y; done < z
until a
do
  b
done | c
while :; do break; done &
