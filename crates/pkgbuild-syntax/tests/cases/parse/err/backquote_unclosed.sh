x=`a
