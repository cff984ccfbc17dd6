"""The same epoch in PyTorch, for bench_train: for each line on standard input one epoch, and its seconds on standard
output. Arguments: DIM HIDDEN PAIRS THREADS."""
import sys
import time

import torch

PHOTOS, BATCH = 20000, 256


def main():
    dim, hidden, pairs, threads = map(int, sys.argv[1:5])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    inputs = torch.rand(PHOTOS, dim)
    a, b = torch.randint(PHOTOS, (pairs,)), torch.randint(PHOTOS, (pairs,))
    target = (torch.randint(9, (pairs,)) == 0).float()
    head = torch.nn.Sequential(torch.nn.Linear(dim, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1))
    loss_of = torch.nn.BCEWithLogitsLoss()
    optimiser = torch.optim.Adam(head.parameters(), lr=0.001)
    for _ in sys.stdin:
        started = time.monotonic()
        for i in range(0, pairs, BATCH):
            x = (inputs[a[i:i + BATCH]] - inputs[b[i:i + BATCH]]).abs_()
            loss = loss_of(head(x).squeeze(1), target[i:i + BATCH])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        print(time.monotonic() - started, flush=True)


main()
