# SPDX-License-Identifier: GPL-2.0
# Bars from /mnt/data: a group for each line, a bar for each column that has a heading.
# Variables: label, of the y axis; bottom, where it begins.
set terminal svg size 960,420 background "white" font "sans,12"
set datafile separator "\t"
set datafile missing "?"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 noborder
set boxwidth 0.9
set key outside top center horizontal
set grid y
set tics nomirror
set xtics rotate by -25
set ylabel label
set yrange [bottom:*]
columns = int(system("awk -F '\t' 'NR == 1 { print NF }' /mnt/data"))
plot for [i = 2:columns] "/mnt/data" using i:xtic(1) title columnheader(i)
