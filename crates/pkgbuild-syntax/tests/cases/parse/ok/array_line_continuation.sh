x=(a \
   b\
c)
