//! Linux's statistics of a process, and of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// Keeps this process, and threads that it starts later, on these cores.
pub(super) fn pin(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Lets this process, and those that it starts, have as many sockets as it may.
pub(super) fn allow_sockets() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// The number of threads ready to run, on average over the last minute.
pub(super) fn load_average() -> anyhow::Result<f64> {
    let averages = fs::read_to_string("/proc/loadavg")?;
    Ok(averages
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .parse()?)
}

/// CPU time that all cores have used for anything, also for another machine on the same hardware.
pub(super) fn busy_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().unwrap_or_default();
    let ticks = all.split_whitespace().skip(1).map(str::parse);
    let ticks: Vec<u64> = ticks.collect::<Result<_, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests used is part of the first two.
    let is_busy = |place: usize| place < 8 && !(3..=4).contains(&place);
    let busy = ticks
        .iter()
        .enumerate()
        .filter(|(place, _)| is_busy(*place));
    // Linux counts hundredths of a second here, on every machine.
    Ok(Duration::from_millis(
        10 * busy.map(|(_, ticks)| ticks).sum::<u64>(),
    ))
}

/// CPU time that all threads of a process have used.
pub(super) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    Ok(thread_times(pid)?.values().sum())
}

/// CPU time that each thread of a process has used, by the scheduler's own count (`/proc/PID/task/TID/schedstat`), under
/// its name.
pub(super) fn thread_times(pid: u32) -> anyhow::Result<BTreeMap<String, Duration>> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?;
        let stat = fs::read_to_string(task.join("schedstat"))?;
        let on_cpu = stat.split_whitespace().next().unwrap_or_default();
        let time = times.entry(name.trim().to_owned()).or_default();
        *time += Duration::from_nanos(on_cpu.parse()?);
    }
    Ok(times)
}

/// Bytes of memory that a process occupies.
pub(super) fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap_or_default().trim().trim_end_matches(" kB");
    Ok(kib.parse::<u64>()? * 1024)
}

/// Datagrams that the kernel dropped because the sockets at these ports were full.
pub(super) fn socket_drops(ports: &BTreeSet<u16>) -> anyhow::Result<u64> {
    let mut drops = 0;
    for table in ["/proc/net/udp", "/proc/net/udp6"] {
        let table = fs::read_to_string(table).unwrap_or_default();
        for line in table.lines().skip(1) {
            let mut fields = line.split_whitespace();
            let local = fields.nth(1).unwrap_or_default();
            let port = local.rsplit(':').next().unwrap_or_default();
            let port = u16::from_str_radix(port, 16).ok();
            if port.is_some_and(|port| ports.contains(&port)) {
                drops += line
                    .split_whitespace()
                    .last()
                    .unwrap_or("0")
                    .parse::<u64>()?;
            }
        }
    }
    Ok(drops)
}
