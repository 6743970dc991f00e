x=a\ b\;c\'d\"e
\command \a
