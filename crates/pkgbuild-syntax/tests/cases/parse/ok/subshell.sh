(a)
( cd x && y ) || exit 1
( (b); (c) )
