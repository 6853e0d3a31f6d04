#!/usr/bin/env bash
# Starts a private, throw-away Slurm (munged, slurmctld, slurmd per node) on this one machine, without systemd, as root, on
# loopback only. The tests of the Slurm engine use it; it works for trying things by hand too:
#
#   . "$(tests/slurm/start-slurm.sh)"      # sets SLURM_CONF and SLURM_CI_DIR; sbatch, squeue and scontrol then work
#   tests/slurm/stop-slurm.sh -r "$SLURM_CI_DIR"
#
#   start-slurm.sh [-d DIR] [-n NODES] [-c CPUS_PER_NODE]
#
#   -d DIR  state directory (default: a fresh temporary one) with configuration, key, sockets, state, logs and pids. If it holds a
#           slurm.conf already, that is used as it is: what has died is started again, and the queue comes back.
#   -n N    simulated nodes (default 2; one slurmd each)
#   -c C    processors that each node advertises (default 2; may exceed the real ones)
#
# Prints one line on standard output, DIR/env.sh, once every node is idle; everything else goes to standard error.
# Needs Debian's munge, slurmctld, slurmd and slurm-client (Slurm 22.05), and installs nothing.
set -euo pipefail
umask 022

DIR='' NODES=2 CPUS=2
while getopts d:n:c:h option; do
  case $option in
    d) DIR=$OPTARG ;; n) NODES=$OPTARG ;; c) CPUS=$OPTARG ;;
    *) sed -n '2,16p' "$0" >&2; exit 2 ;;
  esac
done
log() { printf 'start-slurm: %s\n' "$*" >&2; }
die() { log "ERROR: $*"; exit 1; }
[ "$(id -u)" = 0 ] || die "must run as root"
export PATH="$PATH:/usr/sbin:/sbin"      # munged, slurmctld, slurmd live there

for binary in munged slurmctld slurmd sbatch; do
  command -v "$binary" >/dev/null || die "$binary is missing: apt-get install munge slurmctld slurmd slurm-client"
done

# ---- directory ---------------------------------------------------------
[ -n "$DIR" ] || DIR=$(mktemp -d -t slurm-ci.XXXXXX)
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd -P)
[ ${#DIR} -le 70 ] || die "$DIR is too long: unix socket paths hold 107 bytes"
# munged insists that no directory above its socket, key, seed, log is group- or
# world-writable (sticky /tmp is all right), and that the socket's is a+x.
chmod 755 "$DIR"
mkdir -p "$DIR"/{munge,run,state,spool,log,pids}
chmod 755 "$DIR/munge"
# NoInAddrAny below binds every daemon (and srun) to what this host's own short
# name resolves to, whatever NodeAddr says: it must resolve, and to loopback.
SELF=$(uname -n); SELF=${SELF%%.*}
ADDR=$(getent ahostsv4 "$SELF" | awk 'NR == 1 { print $1 }') || true
[ "$ADDR" = 127.0.0.1 ] ||
  die "'$SELF' resolves to '$ADDR': put '127.0.0.1 $SELF' first in /etc/hosts, so that nothing listens beyond loopback"

# ---- helpers: start a daemon, record "pid starttime" -----------------------
starttime() { # field 22 of /proc/PID/stat; comm (field 2) may hold spaces
  local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  s=${s##*) }; set -- $s
  [ "$1" != Z ] && echo "${20}"      # a zombie that pid 1 has yet to reap is dead
}
alive() { # NAME: is the recorded daemon still the same process, not a zombie?
  local pid st now
  [ -s "$DIR/pids/$1" ] || return 1
  read -r pid st <"$DIR/pids/$1"
  now=$(starttime "$pid" 2>/dev/null) || return 1
  [ "$now" = "$st" ]
}
launch() { # NAME command...: foreground daemon in a session of its own
  local name=$1; shift
  # setsid: no signal of the caller's terminal or process group reaches it;
  # stdin/stdout/stderr away from the caller, else $(start-slurm.sh) never ends.
  setsid "$@" </dev/null >>"$DIR/log/$name.out" 2>&1 &
  local pid=$!
  disown "$pid"
  # $! is the daemon itself: a background child is no group leader, so setsid
  # execs in place without forking.
  echo "$pid $(starttime "$pid")" >"$DIR/pids/$name"
}

port_free() { ! (exec 3<>"/dev/tcp/$ADDR/$1") 2>/dev/null; }
free_base() { # a base port with NODES+3 free ports from it on, below ephemeral
  local b p ok
  for _ in $(seq 50); do
    b=$((20000 + RANDOM % 10000)); ok=1
    for ((p = b; p <= b + NODES + 2; p++)); do port_free "$p" || { ok=; break; }; done
    [ -n "$ok" ] && { echo "$b"; return; }
  done
  return 1
}

# ---- configuration ------------------------------------------------------
if [ ! -s "$DIR/slurm.conf" ]; then
  BASE=$(free_base) || die "no free ports"
  MEM=$(awk -v n="$NODES" '/^MemTotal/{print int($2/1024/(n+1))}' /proc/meminfo)
  (umask 077; dd if=/dev/urandom of="$DIR/munge/munge.key" bs=128 count=1 status=none)
  cat >"$DIR/cgroup.conf" <<CG
# slurmd 22.05 loads a cgroup plugin even if nothing uses it. v1 touches nothing
# until used, so it starts anywhere; v2 (autodetect's pick on a cgroup2 machine)
# wants systemd and no v1 mounts; "disabled" is not known to 22.05: slurmd exits.
CgroupPlugin=cgroup/v1
CG
  # cgroup kills all that a job left behind, but needs a writable cgroup v1 freezer. linuxproc works anywhere, but a process whose
  # parent is gone escapes.
  PROC=linuxproc; fz=/sys/fs/cgroup/freezer
  # slurmd uses $fz/slurm_NODENAME: two Slurms with the same node names at once
  # would share it, and kill each other's jobs of the same id
  if [ -e "$fz/cgroup.procs" ] && mkdir "$fz/start-slurm.$$" 2>/dev/null; then
    rmdir "$fz/start-slurm.$$"; PROC=cgroup
    for ((i = 1; i <= NODES; i++)); do
      [ ! -d "$fz/slurm_node$i" ] ||
        [ -z "$(find "$fz/slurm_node$i" -name cgroup.procs -exec cat {} +)" ] ||
        PROC=linuxproc
    done
  fi
  log "process tracking: $PROC"
  cat >"$DIR/slurm.conf" <<CONF
ClusterName=ci
# name = this host's own short name (slurmctld compares), address = loopback
SlurmctldHost=$SELF($ADDR)
SlurmctldPort=$BASE
# listen on the addresses named here, not on 0.0.0.0
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# private munged; cred_expire also is how long a requeued job waits (120 by default,
# 5 is taken, 2 is refused: "AuthInfo=cred_expire=2 invalid")
AuthInfo=socket=$DIR/munge/munge.socket,cred_expire=5
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd-%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/$PROC
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
# scheduling
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PriorityType=priority/basic
# timeouts, short for tests
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=5
MessageTimeout=5
TCPTimeout=2
KillWait=2
InactiveLimit=0
# finished jobs stay visible to "scontrol show job" this long (no slurmdbd here)
MinJobAge=86400
MaxArraySize=1001
MaxJobCount=5000
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$DIR/log/jobcomp.txt
# advertise what is written here, whatever the machine really has
SlurmdParameters=config_overrides
PlugStackConfig=$DIR/plugstack.conf
MailProg=/bin/true
JobFileAppend=1
CONF
  : >"$DIR/plugstack.conf"
  names=()
  for ((i = 1; i <= NODES; i++)); do
    echo "NodeName=node$i NodeHostname=$SELF NodeAddr=$ADDR Port=$((BASE + i)) CPUs=$CPUS RealMemory=$MEM State=UNKNOWN" >>"$DIR/slurm.conf"
    mkdir -p "$DIR/spool/node$i"
    names+=("node$i")
  done
  echo "PartitionName=ci Nodes=$(IFS=,; echo "${names[*]}") Default=YES MaxTime=INFINITE State=UP" >>"$DIR/slurm.conf"
fi
mapfile -t NAMES < <(sed -n 's/^NodeName=\([^ ]*\) .*/\1/p' "$DIR/slurm.conf")
cat >"$DIR/env.sh" <<ENV
export SLURM_CONF='$DIR/slurm.conf' SLURM_CI_DIR='$DIR'
ENV
export SLURM_CONF="$DIR/slurm.conf"

# ---- daemons ------------------------------------------------------------
if ! alive munged; then
  launch munged munged --foreground --socket="$DIR/munge/munge.socket" \
    --key-file="$DIR/munge/munge.key" --seed-file="$DIR/munge/munged.seed" \
    --pid-file="$DIR/run/munged.pid" --log-file="$DIR/log/munged.log" --num-threads=2
fi
for _ in $(seq 100); do
  munge -n -S "$DIR/munge/munge.socket" >/dev/null 2>&1 && break
  alive munged || { cat "$DIR"/log/munged.* >&2; die "munged died"; }
  sleep 0.05
done
munge -n -S "$DIR/munge/munge.socket" 2>/dev/null |
  unmunge -S "$DIR/munge/munge.socket" >/dev/null || die "munge does not answer"

alive slurmctld || launch slurmctld slurmctld -D -f "$SLURM_CONF"
for n in "${NAMES[@]}"; do
  alive "slurmd-$n" || launch "slurmd-$n" slurmd -D -N "$n" -f "$SLURM_CONF"
done

# ---- wait until every node is idle -------------------------------------
deadline=$((SECONDS + 60))
while :; do
  # a node that comes back with running jobs is mixed/allocated: up all the same;
  # a drained one answers but takes no job (said below). A trailing * means "does
  # not answer", so no state with one counts.
  up=$(sinfo -h -N -o '%N %T' 2>/dev/null | sort -u |
       awk '$2 ~ /^(idle|mixed|allocated|completing|drained|draining)$/' | wc -l) || up=0
  [ "$up" -ge "${#NAMES[@]}" ] && break
  for n in munged slurmctld "${NAMES[@]/#/slurmd-}"; do
    alive "$n" || { tail -n 30 "$DIR/log/$n".* >&2; die "$n died"; }
  done
  if [ $SECONDS -ge $deadline ]; then
    sinfo -N >&2 || true; tail -n 20 "$DIR"/log/*.log >&2; die "not up in 60 s"
  fi
  sleep 0.1
done
sinfo >&2
if [ -n "$(sinfo -h -t drain -o %N)" ]; then
  log "WARNING: drained nodes take no job; scontrol update nodename=X state=resume"
  sinfo -R >&2
fi
echo "$DIR/env.sh"
