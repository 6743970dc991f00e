_a() { echo a; echo "b  c" | tr a b; local x=$1   y='q  q'
  # comment
  if [ -f x ]; then y=1; elif [[ $x == y && ! -z $z ]]; then :; else foo; fi
  for i in a "b c" $d; do echo $i; done
  for ((i=0;i<3;i++)); do echo; done
  while read -r l; do echo "$l"; done < file
  until false; do break; done 2>/dev/null
  case $x in a|b) echo; echo 2;; c) ;; *) x=1;& d) y;;& esac
  depends=('a' "b>=1"   # comment
    c
  )
  x=(); x+=(a [3]=b); arr[1]=2
  ( cd x && make; make install )
  { a; b; } >out 2>&1
  cmd >&2 <in >>app &>all
  cat <<EOF
text $x
EOF
  cat <<-'EOF' | sed s/a/b/
	tabbed
	EOF
  (( x + 1 )) && [[ -n $x || $y ]] || return 1
  x=$(foo   a;bar) y="$( baz )" z=`q  r` w=$'a\nb' v=$((1 +  2))
  foo & bar
  ! baz | qux |& quux
  nested() { inner; }
  echo a\
b "c\
d"
  install -Dm644 "$srcdir/x" -t "$pkgdir/usr"
  last
}
_b() ( subshell; two )
function _c { one; }
_d() { sleep 1 & }
_e() { while :; do { x; }; done; cat <<A <<B
1
A
2
B
}
_f() { for x; do select y in a b; do :; done; done; }
_g() { if a; b; then (c; d); fi; x <<<"str" 3<&0 4>&-; time foo; $(if a; then b; fi); echo "${x:-$(a  b)}" "${y//$'\n'/}"; }
_h() { cat <<EOF && echo done
x
EOF
  next; if cat <<EOF
y
EOF
  then z; fi; }
va=$(declare -f _a) vb=$(declare -f _b) vc=$(declare -f _c) vd=$(declare -f _d) ve=$(declare -f _e) vf=$(declare -f _f) vg=$(declare -f _g) vh=$(declare -f _h)
eval "$(declare -f _b | sed 's/two/three/')"; vi=$(declare -f _b)
eval "package_x() { $(declare -f _c)
 _c; }"; vj=$(declare -f package_x)
