ls ~/x ~ *.[ch] file? [!a-z]* x=~
