a() ( b )
c() if d; then e; fi
f() [[ g ]]
h() ((i))
j() for x in y; do z; done
