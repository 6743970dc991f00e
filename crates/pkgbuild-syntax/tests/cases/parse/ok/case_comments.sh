case $x in # c
  # d
  a) # e
    b # f
    ;; # g
esac
