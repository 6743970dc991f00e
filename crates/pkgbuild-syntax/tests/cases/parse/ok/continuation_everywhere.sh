make \
  -C "src\
dir" \
  install \
  && echo done
