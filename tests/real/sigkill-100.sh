#!/usr/bin/env bash
# Kills `seawall run access-log` with SIGKILL 100 times at random moments, in as many runs as that takes,
# and compares the committed output of every run with a count that awk makes of the same file.
#
#   tests/real/sigkill-100.sh [LOG] [SEED] [KILLS]
#
# LOG is a log in Apache combined format; without it, the sample next to this file. A SEED repeats the
# moments, as far as the machine is as fast. Exit code 0 when every run's output equals the count.
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(realpath "${1:-tests/data/access-sample.log}")
seed=${2:-$RANDOM}
kills_wanted=${3:-100}
RANDOM=$seed

cargo build --release --quiet
seawall=$PWD/target/release/seawall
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# Without the engine: a well-formed line has seven parts around its six quotes, the last one empty.
gsub_quotes='{ line = $0; gsub(/\\"/, "\x27", line); parts = split(line, part, "\"") }'
LC_ALL=C awk "$gsub_quotes"'
    parts == 7 && part[7] == "" {
        split(part[3], number, " "); client = part[1]; sub(/ .*/, "", client)
        requests[client]++; bytes[client] += number[2]; errors[client] += number[1] >= 400
    }
    END { for (it in requests) printf "%s,%d,%d,%d\n", it, requests[it], bytes[it], errors[it] }
' "$log" | LC_ALL=C sort > expected
LC_ALL=C awk "$gsub_quotes"' !(parts == 7 && part[7] == "") { print }' "$log" | LC_ALL=C sort > expected-malformed

# About three seconds of work for each run, with a checkpoint every 50 ms.
rate=$(($(wc -l < "$log") / 3 + 1))
command=("$seawall" run access-log -o "input=$log" -o output=out -o "rate=$rate"
    --checkpoint-interval 50ms --json)

echo "seed $seed: $kills_wanted kills on $log ($(wc -l < "$log") lines)"
kills=0 runs=0 most=0
while ((kills < kills_wanted)); do
    rm -rf out seawall-data
    runs=$((runs + 1))
    restarts=0
    while ((kills < kills_wanted)); do
        "${command[@]}" > summary 2> said &
        process=$!
        # Up to 2 s: start, processing, the final checkpoint and its commits are all within reach.
        sleep "$(printf '0.%03d' $((RANDOM % 1000)))"
        ((RANDOM % 2)) && sleep "$(printf '0.%03d' $((RANDOM % 1000)))"
        kill -KILL "$process" 2> /dev/null || true
        status=0
        wait "$process" 2> /dev/null || status=$?
        case $status in
            0) break ;; # It had finished before.
            137) kills=$((kills + 1)) restarts=$((restarts + 1)) ;;
            *) cat said >&2; exit 1 ;;
        esac
    done
    "${command[@]}" > summary 2> said || { cat said; exit 1; }
    for pair in "out expected" "out/malformed expected-malformed"; do
        read -r directory wanted <<< "$pair"
        find "$directory" -maxdepth 1 -name '*.csv' -exec cat {} + | LC_ALL=C sort > committed
        if ! cmp -s committed "$wanted"; then
            echo "run $runs, after $restarts kills: the output in $directory differs" >&2
            diff committed "$wanted" | head -20 >&2 || true
            trap - EXIT
            echo "hint: what is left of it is in $scratch" >&2
            exit 1
        fi
    done
    ((restarts > most)) && most=$restarts
    echo "run $runs: $restarts kills, $kills in all, $(wc -l < expected) lines of output are right"
done
echo "seed $seed: $kills kills in $runs runs, at most $most in one run: every output equals the count"
