"""bpf(2): maps, programs, links, BTF, and the compiler."""
