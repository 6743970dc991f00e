x=([0]=a [5]="b c" d)
declare -A y=([one]=1 ["two words"]=2 [$three]+=3)
