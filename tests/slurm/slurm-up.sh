#!/usr/bin/env bash
# Starts a real Slurm of one node, with accounting, from Debian's or Ubuntu's packages: no systemd, no cgroups. As root.
# Idempotent; restarts what died. `slurm-down.sh` stops it.
#   SLURM_DIR=/tmp/headprune-slurm   configuration, state, logs, pid files
#   SLURM_CPUS, SLURM_MEM_MB         what the node claims; may be more than there is
#   SLURM_GPUS=0                     devices that are counted and given out, with nothing behind them
set -euo pipefail
DIR=${SLURM_DIR:-/tmp/headprune-slurm}
GPUS=${SLURM_GPUS:-0}
export SLURM_CONF=$DIR/slurm.conf
[ "$(id -u)" = 0 ] || { echo "Slurm's daemons must be started as root" >&2; exit 1; }

# packages
WANTED=()
command -v slurmctld slurmd munged >/dev/null || WANTED+=(slurmctld slurmd slurm-client munge)
command -v slurmdbd >/dev/null || WANTED+=(slurmdbd)
command -v mariadbd >/dev/null || WANTED+=(mariadb-server-core mariadb-client-core)
if [ ${#WANTED[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "no apt-get to install ${WANTED[*]} with" >&2; exit 1; }
    LOG=$(mktemp)
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${WANTED[@]}"; } \
        >"$LOG" 2>&1 || { tail -n 5 "$LOG" >&2; echo "apt-get could not install ${WANTED[*]}" >&2; exit 1; }
fi

# configuration; /etc/slurm has links to it only, so that clients need no environment
mkdir -p "$DIR"/{state,spool,log,run} /etc/slurm
chmod 755 "$DIR"
HOST=$(hostname -s)
HARDWARE=$(slurmd -C | head -n 1)
CPUS=${SLURM_CPUS:-$(sed 's/.*CPUs=\([0-9]*\).*/\1/' <<<"$HARDWARE")}
MEM=${SLURM_MEM_MB:-$(($(sed 's/.*RealMemory=\([0-9]*\).*/\1/' <<<"$HARDWARE") * 95 / 100))}
NODE="NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEM State=UNKNOWN"
TRES=""
if [ "$GPUS" -gt 0 ]; then # a file each: character devices that behave like /dev/null
    for i in $(seq 0 $((GPUS - 1))); do [ -e "$DIR/gpu$i" ] || mknod "$DIR/gpu$i" c 1 3; done
    echo "NodeName=$HOST Name=gpu File=$DIR/gpu[0-$((GPUS - 1))]" >"$DIR/gres.conf"
    NODE+=" Gres=gpu:$GPUS"
    TRES=$'GresTypes=gpu\nAccountingStorageTRES=gres/gpu'
else
    rm -f "$DIR/gres.conf"
fi
cat >"$DIR/slurm.conf" <<END
ClusterName=local
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
# the plug-in asks sacct, which needs slurmdbd
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass=/run/munge/munge.socket.2
AccountingStoreFlags=job_comment,job_script
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
JobCompType=jobcomp/filetxt
JobCompLoc=$DIR/log/jobcomp.txt
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
# an impossible request fails at submission instead of pending for ever
EnforcePartLimits=ALL
MinJobAge=600
ReturnToService=2
KillWait=5
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=30
SlurmdParameters=config_overrides
$TRES
$NODE
PartitionName=main Nodes=$HOST Default=YES MaxTime=1-00:00:00 DefaultTime=30 State=UP
END
[ -s "$DIR/database-password" ] || (umask 077; head -c 18 /dev/urandom | base64 | tr -d '+/=' >"$DIR/database-password")
PASSWORD=$(cat "$DIR/database-password")
(umask 077; cat >"$DIR/slurmdbd.conf" <<END
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
AuthType=auth/munge
PidFile=$DIR/run/slurmdbd.pid
LogFile=$DIR/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=16820
StorageUser=slurm
StoragePass=$PASSWORD
StorageLoc=slurm_acct_db
END
)
for name in slurm.conf gres.conf slurmdbd.conf; do
    [ -e "$DIR/$name" ] || continue
    [ ! -e "/etc/slurm/$name" ] || [ -L "/etc/slurm/$name" ] || { echo "/etc/slurm/$name is not ours" >&2; exit 1; }
    ln -sfn "$DIR/$name" "/etc/slurm/$name"
done

# daemons: each goes into the background and leaves its pid in $DIR/run
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
start() {
    local name=$1
    alive "$DIR/run/$name.pid" || setsid "$@" </dev/null >>"$DIR/log/$name.start.log" 2>&1
}
port() {
    for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0; sleep 0.1; done
    echo "nothing answers at port $1" >&2
    return 1
}
if ! munge -n >/dev/null 2>&1; then
    [ -s /etc/munge/munge.key ] || runuser -u munge -- /usr/sbin/mungekey --create
    install -d -o munge -g munge -m 755 /run/munge
    install -d -o munge -g munge -m 700 /var/log/munge
    setsid runuser -u munge -- /usr/sbin/munged </dev/null >/dev/null 2>&1
    touch "$DIR/run/munged.ours"
    for _ in $(seq 50); do munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && break; sleep 0.1; done
fi
if ! alive "$DIR/run/mariadbd.pid"; then
    if [ ! -d "$DIR/mysql/mysql" ]; then
        mkdir -p "$DIR/mysql"
        mariadb-install-db --no-defaults --user=root --datadir="$DIR/mysql" --auth-root-authentication-method=socket \
            --skip-test-db >>"$DIR/log/mariadb-install.log" 2>&1
    fi
    setsid mariadbd --no-defaults --user=root --datadir="$DIR/mysql" --socket="$DIR/run/mysql.sock" \
        --pid-file="$DIR/run/mariadbd.pid" --bind-address=127.0.0.1 --port=16820 --innodb-buffer-pool-size=64M \
        --innodb-log-file-size=32M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=2 \
        </dev/null >>"$DIR/log/mariadbd.log" 2>&1 &
    port 16820
    mariadb --no-defaults --socket="$DIR/run/mysql.sock" -u root -e "
        CREATE DATABASE IF NOT EXISTS slurm_acct_db;
        CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '$PASSWORD';
        CREATE USER IF NOT EXISTS 'slurm'@'localhost' IDENTIFIED BY '$PASSWORD';
        GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
        GRANT ALL ON slurm_acct_db.* TO 'slurm'@'localhost';"
fi
start slurmdbd
port 16819
for _ in $(seq 50); do sacctmgr -n list cluster >/dev/null 2>&1 && break; sleep 0.2; done
if [ -z "$(sacctmgr -n list cluster format=cluster 2>/dev/null | tr -d ' ')" ]; then
    sacctmgr -i add cluster local >/dev/null
    sacctmgr -i add account bench description=bench organization=local >/dev/null
    sacctmgr -i add user root account=bench >/dev/null
fi
start slurmctld -f "$DIR/slurm.conf"
start slurmd -f "$DIR/slurm.conf" -N "$HOST"

STATE=
for i in $(seq 600); do
    STATE=$(timeout 5 sinfo -h -o %T 2>/dev/null | head -n 1 || true)
    case "$STATE" in
        idle | mixed | allocated) exit 0 ;;
        down* | drained* | unk*) [ $((i % 20)) != 0 ] || scontrol update nodename="$HOST" state=resume 2>/dev/null || true ;;
    esac
    sleep 0.1
done
echo "Slurm did not come up, its node is ${STATE:-unknown}:" >&2
tail -n 10 "$DIR"/log/slurm*.log >&2
exit 1
