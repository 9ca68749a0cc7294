# Runs a relay proxy for as long as standard input stays open.
#
#   sh -c "$this" watchdog DIRECTORY CONTAINER COMMAND [ARGUMENT...]
#
# The tests hold the other end of standard input, and the kernel closes it however they end: return, panic,
# SIGKILL. The relay proxy then gets SIGTERM, and SIGKILL after one second, because in Unix-socket mode it does
# not react to SIGTERM. CONTAINER is the container's name when COMMAND is docker, else empty: killing the docker
# client would leave the container behind.
#
# DIRECTORY/process-id names the relay proxy's process, or that of the docker client. DIRECTORY/exit-status appears
# when it has ended; DIRECTORY itself goes when the tests are done.

directory=$1 container=$2
shift 2
exec 3<&0 </dev/null

"$@" 3<&- &
relay=$!
echo "$relay" >"$directory/process-id"

(
    read -r _ <&3
    if [ -n "$container" ]; then docker rm --force "$container"; fi
    kill -TERM "$relay"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.1
        kill -0 "$relay" || exit 0
    done
    kill -KILL "$relay"
) >/dev/null 2>&1 &
watch=$!

wait "$relay"
echo "$?" >"$directory/exit-status"
read -r _ <&3
if [ -n "$container" ]; then docker rm --force "$container" >/dev/null 2>&1; fi
kill "$watch" 2>/dev/null
rm -rf -- "$directory"
