"""System calls by number, for the two machines that the seccomp filters know: name, on x86_64, on aarch64.

From the kernel's own headers (`asm/unistd_64.h`, `asm-generic/unistd.h`); `-` where a machine has no such call.
"""

from __future__ import annotations

import os

MACHINES = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}  # audit's name of the machine, column of the tables

# What Python and numpy need, and what the worker itself needs to start, watch and end a sample.
ALLOWED = """
access:21:- alarm:37:- arch_prctl:158:- brk:12:214 chdir:80:49 chmod:90:- clock_getres:229:114
clock_gettime:228:113 clock_nanosleep:230:115 clone:56:220 close:3:57 creat:85:- dup:32:23 dup2:33:- dup3:292:24
epoll_create1:291:20 epoll_ctl:233:21 epoll_pwait:281:22 epoll_wait:232:- eventfd2:290:19 exit:60:93
exit_group:231:94 faccessat:269:48 faccessat2:439:439 fchdir:81:50 fchmod:91:52 fchmodat:268:53 fcntl:72:25
fdatasync:75:83 flock:73:32 fork:57:- fstat:5:80 fstatfs:138:44 fsync:74:82 ftruncate:77:46 futex:202:98
get_robust_list:274:100 getcpu:309:168 getcwd:79:17 getdents64:217:61 getegid:108:177 geteuid:107:175
getgid:104:176 getgroups:115:158 getitimer:36:102 getpgid:121:155 getpgrp:111:- getpid:39:172 getppid:110:173
getrandom:318:278 getresgid:120:150 getresuid:118:148 getrlimit:97:163 getrusage:98:165 getsid:124:156
gettid:186:178 gettimeofday:96:169 getuid:102:174 ioctl:16:29 kill:62:129 landlock_restrict_self:446:446
link:86:- linkat:265:37 lseek:8:62 lstat:6:- madvise:28:233 membarrier:324:283 mkdir:83:- mkdirat:258:34
mmap:9:222 mprotect:10:226 mremap:25:216 munmap:11:215 nanosleep:35:101 newfstatat:262:79 open:2:- openat:257:56
pause:34:- pidfd_open:434:434 pidfd_send_signal:424:424 pipe:22:- pipe2:293:59 poll:7:- ppoll:271:73
prctl:157:167 pread64:17:67 prlimit64:302:261 pselect6:270:72 pwrite64:18:68 read:0:63 readlink:89:-
readlinkat:267:78 readv:19:65 recvfrom:45:207 recvmsg:47:212 rename:82:- renameat:264:38 renameat2:316:276
restart_syscall:219:128 rmdir:84:- rseq:334:293 rt_sigaction:13:134 rt_sigpending:127:136 rt_sigprocmask:14:135
rt_sigreturn:15:139 rt_sigsuspend:130:133 rt_sigtimedwait:128:137 sched_getaffinity:204:123 sched_yield:24:124
seccomp:317:277 select:23:- sendmsg:46:211 sendto:44:206 set_robust_list:273:99 set_tid_address:218:96
setitimer:38:103 setrlimit:160:164 setsid:112:157 shutdown:48:210 sigaltstack:131:132 socketpair:53:199 stat:4:-
statfs:137:43 statx:332:291 symlink:88:- symlinkat:266:36 sysinfo:99:179 tgkill:234:131 time:201:- times:100:153
tkill:200:130 truncate:76:45 umask:95:166 uname:63:160 unlink:87:- unlinkat:263:35 utimensat:280:88 vfork:58:-
wait4:61:260 waitid:247:95 write:1:64 writev:20:66
"""

# Nothing innocent calls these: the program is ended there and then.
FATAL = """
acct:163:89 add_key:248:217 bpf:321:280 chroot:161:51 delete_module:176:106 finit_module:313:273 fsopen:430:430
init_module:175:105 io_uring_setup:425:425 kexec_file_load:320:294 kexec_load:246:104 keyctl:250:219
mount:165:40 mount_setattr:442:442 move_mount:429:429 open_by_handle_at:304:265 open_tree:428:428
perf_event_open:298:241 personality:135:92 pidfd_getfd:438:438 pivot_root:155:41 process_madvise:440:440
process_vm_readv:310:270 process_vm_writev:311:271 ptrace:101:117 quotactl:179:60 reboot:169:142
request_key:249:218 setns:308:268 swapoff:168:225 swapon:167:224 syslog:103:116 umount2:166:39 unshare:272:97
userfaultfd:323:282
"""

# Told apart by their arguments, or answered in another way.
NAMED = "clone:56:220 clone3:435:435 fork:57:- vfork:58:- kill:62:129 tgkill:234:131 tkill:200:130"


def machine() -> str | None:
    """This machine's name in the tables, or None where they don't know it."""
    name = os.uname().machine
    return name if name in MACHINES else None


def numbers(table: str, name: str) -> dict[str, int]:
    """Numbers of a table's calls on one machine; calls that it lacks are left out."""
    column = MACHINES[name][1]
    rows = [row.split(":") for row in table.split()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
