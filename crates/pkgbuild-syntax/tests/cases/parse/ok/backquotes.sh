x=`a` y="`b \"c\"`" z=`echo \`d\` \$e \\f`
