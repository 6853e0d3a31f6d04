#!/usr/bin/env bash
# Ends the private Slurm that start-slurm.sh started in DIR, and nothing else.
#   stop-slurm.sh DIR          cancel all jobs, end the daemons, keep DIR
#   stop-slurm.sh -r DIR       the same, then remove DIR
#   stop-slurm.sh -k DIR       keep the queue: jobs are not cancelled, only the
#                              daemons end (start-slurm.sh -d DIR brings all back)
#   stop-slurm.sh -k DIR NAME  only that daemon: slurmctld, slurmd-node1, munged
#   stop-slurm.sh -9 DIR NAME  the same with SIGKILL; for slurmd-X it takes the
#                              node's slurmstepds and job processes too: a node
#                              that lost power
# A process is signalled only if its pid AND start time are those that
# start-slurm.sh recorded and it still has that daemon's name, or if it carries
# SLURM_CONF=DIR/slurm.conf in its environment and is a slurmstepd or has a
# SLURM_JOB_ID there (a job's leftovers).
set -uo pipefail
RM= KEEP= SIG=TERM
while getopts rk9h o; do
  case $o in
    r) RM=1 ;; k) KEEP=1 ;; 9) SIG=KILL KEEP=1 ;;
    *) sed -n '2,16p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
DIR=${1:-${SLURM_CI_DIR:-}} ONLY=${2:-}
log() { printf 'stop-slurm: %s\n' "$*" >&2; }
[ -n "$DIR" ] && [ -d "$DIR/pids" ] && [ -s "$DIR/slurm.conf" ] ||
  { log "not a directory of start-slurm.sh: '$DIR'"; exit 2; }
DIR=$(cd "$DIR" && pwd -P)
export SLURM_CONF="$DIR/slurm.conf"

starttime() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
              s=${s##*) }; set -- $s; [ "$1" != Z ] && echo "${20}"; }
pid_of() { # NAME: print its pid if the recorded process still is that process
  local pid st
  [ -s "$DIR/pids/$1" ] || return 1
  read -r pid st <"$DIR/pids/$1"
  [ "$(starttime "$pid")" = "$st" ] && [ "$(cat "/proc/$pid/comm")" = "${1%%-*}" ] &&
    echo "$pid"
}
jobprocs() { # [NODE]: pids of slurmstepds and job processes of this Slurm
  local p exe env
  for p in /proc/[0-9]*; do
    p=${p#/proc/}; [ "$p" != $$ ] || continue
    env=$( (tr '\0' '\n' <"/proc/$p/environ") 2>/dev/null) && [ -n "$env" ] || continue
    case $'\n'$env$'\n' in *$'\n'"SLURM_CONF=$DIR/slurm.conf"$'\n'*) ;; *) continue ;; esac
    exe=$(readlink "/proc/$p/exe" 2>/dev/null) || continue
    case $exe in
      */slurmstepd | */slurmstepd-wlm)
        # a stepd does not name its node in its environment: look at its socket
        [ -z "${1:-}" ] || stepd_on "$p" "$1" || continue ;;
      *)
        case $'\n'$env in *$'\n'SLURM_JOB_ID=*) ;; *) continue ;; esac
        [ -z "${1:-}" ] ||
          case $'\n'$env$'\n' in *$'\n'"SLURMD_NODENAME=$1"$'\n'*) ;; *) continue ;; esac ;;
    esac
    echo "$p"
  done
}
stepd_on() { # PID NODE: does that slurmstepd hold a socket under spool/NODE?
  local i
  for i in $(find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n'); do
    awk -v i="$i" -v d="$DIR/spool/$2/" '$7 == i && index($8, d) == 1 { f = 1 } END { exit !f }' \
      /proc/net/unix && return 0
  done
  return 1
}
end() { # NAME: signal it and wait until it is gone
  local pid i
  pid=$(pid_of "$1") || { rm -f "$DIR/pids/$1"; return 0; }
  kill -"$SIG" "$pid" 2>/dev/null
  for ((i = 0; i < 200; i++)); do pid_of "$1" >/dev/null || break; sleep 0.05; done
  if pid_of "$1" >/dev/null; then
    log "$1 ($pid) did not end in 10 s: SIGKILL"; kill -KILL "$pid" 2>/dev/null; sleep 0.2
  fi
  rm -f "$DIR/pids/$1"
}

if [ -n "$ONLY" ]; then
  end "$ONLY"
  case $SIG$ONLY in
    KILLslurmd-*)
      for p in $(jobprocs "${ONLY#slurmd-}"); do kill -KILL "$p" 2>/dev/null; done ;;
  esac
  exit 0
fi

if [ -z "$KEEP" ]; then
  if pid_of slurmctld >/dev/null; then
    ids=$(timeout 10 squeue -h -o %A 2>/dev/null | sort -u)
    [ -z "$ids" ] || timeout 10 scancel $ids 2>/dev/null
    for ((i = 0; i < 100; i++)); do # KillWait is 2 s
      [ -n "$(timeout 10 squeue -h -t all -o %T 2>/dev/null |
        grep -E 'RUNNING|COMPLETING|PENDING|SUSPENDED|CONFIGURING')" ] || break
      sleep 0.1
    done
  fi
fi
for f in "$DIR"/pids/slurmd-*; do [ -e "$f" ] && end "${f##*/}"; done
end slurmctld
if [ -z "$KEEP" ]; then
  for p in $(jobprocs); do log "leftover of a job: $p"; kill -KILL "$p" 2>/dev/null; done
fi
end munged
# the empty cgroups that slurmd leaves (rmdir takes none that holds a process)
if [ -z "$KEEP" ] && grep -q '^ProctrackType=proctrack/cgroup' "$DIR/slurm.conf"; then
  for n in $(sed -n 's/^NodeName=\([^ ]*\) .*/\1/p' "$DIR/slurm.conf"); do
    find "/sys/fs/cgroup/freezer/slurm_$n" -depth -type d -exec rmdir {} + 2>/dev/null
  done
fi
[ -z "$RM" ] || rm -rf -- "$DIR"
