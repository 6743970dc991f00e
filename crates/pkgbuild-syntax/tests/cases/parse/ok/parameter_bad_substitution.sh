f() { echo ${x y} ${} ${x.y} ${1a} ${x@Z}; }
