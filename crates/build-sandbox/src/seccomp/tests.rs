#![allow(clippy::unwrap_used)]
use super::*;

/// What the kernel gives a program: `struct seccomp_data`, `linux/seccomp.h`.
struct Data {
    number: u32,
    arch: u32,
    arguments: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            _ => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                let high = (offset / 4) % 2 == u32::from(cfg!(target_endian = "little"));
                u32::try_from(if high {
                    argument >> 32
                } else {
                    argument & 0xffff_ffff
                })
                .unwrap()
            }
        }
    }
}

/// Runs a program as the kernel does. Source: the kernel's `Documentation/networking/filter.rst`.
fn run(program: &[Instruction], data: &Data) -> u32 {
    let (mut at, mut value) = (0, 0u32);
    loop {
        let i = program[at];
        at += 1;
        let mut jump = |condition: bool| at += usize::from(if condition { i.jt } else { i.jf });
        match i.code {
            0x20 => value = data.word(i.k),
            0x54 => value &= i.k,
            0x05 => at += i.k as usize,
            0x15 => jump(value == i.k),
            0x25 => jump(value > i.k),
            0x35 => jump(value >= i.k),
            0x06 => return i.k,
            code => panic!("instruction {code:#x}"),
        }
    }
}

fn every_choice() -> Vec<Choice> {
    let mut choices = Vec::new();
    for sockets in [Sockets::Usual, Sockets::NoUnix, Sockets::None] {
        for bits in 0..8 {
            choices.push(Choice {
                sockets,
                plain_ownership: bits & 1 != 0,
                refuse_attributes: bits & 2 != 0,
                shared_host: bits & 4 != 0,
            });
        }
    }
    choices
}

/// What the lists, each compiled as a whole and one after the other, say together.
fn expected(lists: &[Vec<Instruction>], data: &Data) -> u32 {
    if cfg!(target_arch = "x86_64") && data.number >= 0x4000_0000 {
        return ERRNO | libc::ENOSYS.cast_unsigned();
    }
    let said = lists.iter().map(|program| run(program, data));
    said.min_by_key(|action| action & 0xffff_0000).unwrap()
}

#[test]
fn one_program_says_what_the_lists_say() {
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let native = run_arch();
    let values = [
        0, 1, 2, 3, 5, 10, 16, 17, 0o2755, 0o4755, 0x41, 0x241, 0x5412, 0x541c,
    ];
    let wide = [1 << 28, 0x1_0000_0000, u64::MAX, 0xffff_ffff];
    for choice in every_choice() {
        let program = compile(choice).unwrap();
        assert!(program.len() < 4096);
        let whole = |(errno, rules): (i32, Rules)| -> Vec<Instruction> {
            let action = SeccompAction::Errno(errno.cast_unsigned());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch);
            let program: BpfProgram = filter.unwrap().try_into().unwrap();
            let copy = |i: &seccompiler::sock_filter| instruction(i.code, i.jt, i.jf, i.k);
            program.iter().map(copy).collect()
        };
        let lists: Vec<Vec<Instruction>> = lists(choice).into_iter().map(whole).collect();
        let mut refused = 0;
        for number in (0..480).chain([0x3fff_ffff, 0x4000_0000, 0x4000_0101, u32::MAX]) {
            for value in values.into_iter().chain(wide) {
                for index in 0..6 {
                    let mut arguments = [0x41; 6];
                    arguments[index] = value;
                    let data = Data {
                        number,
                        arch: native,
                        arguments,
                    };
                    let said = run(&program, &data);
                    assert_eq!(
                        said,
                        expected(&lists, &data),
                        "{choice:?} {number} {arguments:x?}"
                    );
                    refused += usize::from(said != 0x7fff_0000);
                }
            }
        }
        assert!(refused > 1000, "{choice:?}");
        let foreign = Data {
            number: 0,
            arch: native ^ 1,
            arguments: [0; 6],
        };
        assert_eq!(run(&program, &foreign), libc::SECCOMP_RET_KILL_PROCESS);
    }
}

/// The mark of this architecture, which every program compares first.
fn run_arch() -> u32 {
    alone(0, Vec::new(), 1).unwrap()[1].k
}

#[test]
fn no_call_is_in_two_lists() {
    for choice in every_choice() {
        let mut seen = std::collections::BTreeSet::new();
        for (_, rules) in lists(choice) {
            for call in rules.keys() {
                assert!(seen.insert(*call), "{choice:?} {call}");
            }
        }
    }
}
