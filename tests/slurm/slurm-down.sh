#!/usr/bin/env bash
# Stops what slurm-up.sh started, by pid file only, and removes its folder; the packages stay. As root.
set -uo pipefail
DIR=${SLURM_DIR:-/tmp/headprune-slurm}
export SLURM_CONF=$DIR/slurm.conf
[ -d "$DIR" ] || exit 0
timeout 10 scancel -u root 2>/dev/null
for _ in $(seq 50); do [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break; sleep 0.2; done
stop() { # name, pid file: only if the pid is still that program
    local pid
    [ -s "$2" ] || return 0
    pid=$(tr -d ' \n' <"$2")
    case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in *"$1"*) ;; *) return 0 ;; esac
    kill -TERM "$pid" 2>/dev/null
    for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -0 "$pid" 2>/dev/null && kill -KILL "$pid"
}
for name in slurmd slurmctld slurmdbd mariadbd; do stop $name "$DIR/run/$name.pid"; done
[ ! -e "$DIR/run/munged.ours" ] || stop munged /run/munge/munged.pid
for name in slurm.conf gres.conf slurmdbd.conf; do
    [ "$(readlink "/etc/slurm/$name" 2>/dev/null)" != "$DIR/$name" ] || rm -f "/etc/slurm/$name"
done
rm -rf "$DIR"
