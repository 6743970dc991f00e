v1=$(echo hello) v2=`echo back` v3="$(echo "a b"; echo c)" v4=$(printf '%s-' a b c) v5=($(echo one two)) v6=("$(echo one two)")
v7=$(echo $(echo nested)) v8=$(true; echo $?) v9=$(false; echo $?) v10=$(exit 3) v11=$?
f() { local x=inner; v12=$x; v13=$1; v14=$#; v15=("$@"); return 4; }
x=outer; f a "b c" d; v16=$? v17=$x
g() { echo "out:$*"; }; v18=$(g 1 2 3) v19=$(g | tr a-z A-Z)
if true; then v20=yes; else v20=no; fi
if false; then v21=yes; elif [ 1 = 1 ]; then v21=elif; fi
case foobar in foo*) v22=prefix;; *) v22=other;; esac
case x in y) v23=y;; x|z) v23=x;& w) v23+=fall;; esac
case abc in a*) v24=1;;& *c) v24+=2;; esac
for i in a b c; do [[ $i == b ]] && continue; v25+=$i; done
i=0; while [ $i -lt 3 ]; do v26+=$i; i=$((i+1)); done; until ((i>=5)); do ((i++)); v27+=$i; done
for i in 1 2 3; do for j in 1 2 3; do ((j==2)) && continue 2; ((i==3)) && break 2; v28+=$i$j,; done; done
true && v29=and; false || v30=or; ! false && v31=not; { v32=group; }; (v33=lost); v34=${v33-unset}
IFS=. read -r a b c <<< "1.2.3"; v35=$a-$b-$c; IFS='.' read -ra v36 <<< "x.y.z"
read -r v37 v38 <<< "  first   second third  "
while read -r line; do v39+="[$line]"; done <<'EOF'
one
 two  
EOF
v40=$(cat <<EOF
x is $x
  indented \$x
EOF
)
v41=$(echo a b c | cut -d' ' -f2) v42=$(echo 1.2.3 | cut -d. -f1-2) v43=$(echo 1.2.3 | cut -d. -f1,3) v44=$(echo hello | sed 's/l/L/g') v45=$(echo hello | sed -e 's/\(h\)\(e\)/\2\1/' -e 's/o$/&!/')
v46=$(basename /a/b/c.tar.gz .gz) v47=$(dirname /a/b/c) v53=$(printf 'a\nb\nc\n' | head -n 2 | tail -1)
v55=$(echo "foo bar" | grep -o 'b.*') v56=$(printf 'a1\nb2\n' | grep b) v57=$(date -u -d @$SOURCE_DATE_EPOCH +%Y%m%d) v58=$(LC_ALL=C date -Rud @$SOURCE_DATE_EPOCH)
printf -v v59 '%03d|%5s|%-5s|%x|%q' 7 ab cd 255 "a b"; printf -v v60 '%s,' 1 2 3; printf -v 'v61[2]' x
v62=$(echo -e 'a\tb\n') v63=$(echo -n x) v64=$(echo -- -n) v65=$(printf '%b' 'a\nb') v66=$(printf '%d %i %u %o %X' 10 -5 3 8 255) v67=$(printf '%.2s|%5.1s|' abc xyz) v68=$(printf '%c%c' abc d) v69=$(printf '%%') v70=$(printf '\x41\101\n') v71=$(printf "%d" "'a") v72=$(printf '%+d % d %05d %-5d|' 1 2 3 4) v73=$(printf '%.3f %.0f %f' 1.5 2.4 3)
eval 'v74=evaled'; n=v75; eval "$n=dyn"; eval "h() { v76=\$1; }"; h arg
set -- p q r; v77=$2 v78=$#; shift; v79=$1; set -- "a b" c; v80=("$@") v81="$*" v82=$@
[[ abc == a* ]] && v83=1; [[ abc == "a*" ]] || v84=1; [[ abc =~ ^(a)(b)c$ ]] && v85=("${BASH_REMATCH[@]}"); [[ -z $nope && -n $x ]] && v86=1; [[ a < b ]] && v87=1; [[ 3 -gt 2 ]] && v88=1; [[ ! ( a == b || c == d ) ]] && v89=1
test -n "" || v90=1; [ a != b -a c = c ] && v91=1; [ ! -z x ] && v92=1; [ "$nope" ] || v93=1
mapfile -t v94 <<< $'l1\nl2'; unset v94[0]; declare -F f >/dev/null && v95=f; type -t f >/dev/null && v96=$(type -t f) ; command -v true >/dev/null && v97=$(command -v echo)
v98=$(f2() { echo in; }; f2) ; export v99=exp; readonly v100=ro; local v101=lost; declare v102=lost2; declare -g v103=global
v104=$(a=1; a=2; echo $a) v105=$(echo a; echo; echo) v106=$(:) v107=$(echo "  x  ") v108=$(echo   x   y)
shopt -s extglob
s=foo123; v109=${s%%+([0-9])} v110=${s/@(foo|bar)/X}; case aab in +(a)b) v111=ext;; esac
shopt -u extglob
v112=${s%%+([0-9])}; [[ foo == @(foo|bar) ]] && v113=y; trap 'rm -f x' INT; : ${v114:=dflt}; : "${v115=d2}"
k() { local -n ref=$1; ref=through; }; k v117; v118=${PIPESTATUS[0]}; false | true; v119=${PIPESTATUS[*]}
v121=a~b; v123=$(tr -d '\n' <<< $'a\nb') v124=$(echo ABC | tr '[:upper:]' '[:lower:]') v125=$(tr -s ' ' <<< 'a   b') v126=$(echo a-b_c | tr -- '-_' '..')
v127=$(echo x | cat | cat) v128=$(cut -c1-3 <<< abcdef) v130=$(echo "a,b;c" | tr ',;' '  ')
true
