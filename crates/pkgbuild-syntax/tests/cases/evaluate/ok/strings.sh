v1=plain v2='single $x' v3="double \$ \" \\ \x"
v4=a'b'"c"\d
x=value
v5=$x v6="$x" v7=${x} v8='' v9=
v10=$'a\nb\t\'\x41\u00e9'
v11=$undefined v12="a$undefined b"
v13=${x}y$x"z"
v14="a b   c"
v15=line\
continued
v16="line\
continued"
v17+=new; v18=a; v18+=b
x="a  b	c"
v19=$x
v20=($x)
v21=("$x")
v22=($x'q' $undefined "$undefined" '')
v23=(pre$x"post")
