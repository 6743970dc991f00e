x=$'a\n\'b\'\\' y=a$'\t'b
