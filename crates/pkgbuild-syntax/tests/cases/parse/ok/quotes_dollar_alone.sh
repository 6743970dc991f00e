x=$ y="$" z="a$ b" w=a$%b v="$'x'"
