"""Who races against whom: rows of the tables, the variants tried for each, and the limits set beforehand."""

from dataclasses import dataclass, field, replace

THREADS = (1, 2)
TOLD = {"levy_area_approximation": "none"}
"""A torchsde Brownian interval that is told the step; Euler needs no Lévy area."""


@dataclass(frozen=True)
class Row:
    """One row. Each variant is a process; the one of the least median stands for the row.

    `required` and `goal`: factors that peer / ours must, and should, reach; below 1 the peer may be faster.
    `compile_required`: the same for the time of compiling. `elsewhere`: JAX, but in the environment of
    `--peer-python`.
    """

    name: str
    contestant: str
    torch: bool = False
    variants: tuple[dict, ...] = ({},)
    required: float | None = None
    goal: float | None = None
    compile_required: float | None = None
    needs_released: bool = False
    jinns: bool = False
    elsewhere: bool = False


@dataclass(frozen=True)
class Race:
    """Rows of one table; the first row is ours, and every ratio is to it."""

    id: str
    title: str
    rows: tuple[Row, ...] = field(default=())


def threads(*variants: dict) -> tuple[dict, ...]:
    """Every variant at every number of threads."""
    return tuple({**v, "threads": n} for v in variants for n in THREADS)


CHECKPOINT = ({"checkpoint": True}, {"checkpoint": False})
BATCHED = (
    {"path": "drawn", "adjoint": "recursive"},
    {"path": "drawn", "adjoint": "direct"},
)
INTERVALS = ({"interval": TOLD}, {"interval": {**TOLD, "cache_size": None}})

NEURAL_SDE = Race(
    "neural-sde",
    "Neural SDE: forward and backward pass, batch 64, state 16, two MLPs of width 64, 100 Euler steps",
    (
        Row("cadlag `solve`, as it comes", "cadlag_sde"),
        Row("cadlag `solve`, throw=False", "cadlag_sde", variants=({"throw": False},)),
        Row("hand-written scan", "scan_sde", variants=CHECKPOINT, required=1 / 1.2, compile_required=1 / 1.5),
        Row("Diffrax, tree, vmapped", "diffrax_sde", variants=({"path": "tree"},), required=4.5, goal=6.0),
        Row("Diffrax, drawn path, batched", "diffrax_sde", variants=BATCHED),
        Row(
            "torchsde, interval told the step",
            "torchsde_sde",
            True,
            threads(*INTERVALS),
            required=2.9,
            goal=3.5,
        ),
        Row("torchsde, defaults at dt = 0.01", "torchsde_sde", True, threads({}), required=36.0, goal=40.0),
        Row("torchsde, adjoint", "torchsde_sde", True, threads({"adjoint": True})),
        Row(
            "torchsde, adjoint, interval told the step",
            "torchsde_sde",
            True,
            threads({"adjoint": True, **INTERVALS[0]}),
        ),
    ),
)

TRAINING_STEP = Race(
    "training-step",
    "One training step of LNSDE: batch 32, length 100, 7 channels, hidden 32, 2 layers, 4 classes, Adam",
    (
        Row("cadlag `gradient(cross_entropy)`", "cadlag_lnsde"),
        Row("cadlag, ten steps in one `minimise`, each", "cadlag_lnsde", variants=({"loop": 10},)),
        Row(
            "hand-written scan",
            "scan_lnsde",
            variants=tuple({**c, "hoist": h} for c in CHECKPOINT for h in (True, False)),
            required=1 / 1.2,
            compile_required=1 / 1.5,
        ),
        Row(
            "released code, as it is",
            "released_lnsde",
            True,
            threads({}),
            required=6.5,
            goal=8.0,
            needs_released=True,
        ),
        Row(
            "released code, interval told the step",
            "released_lnsde",
            True,
            threads(*INTERVALS),
            needs_released=True,
        ),
    ),
)

BEST = ({"channels_last": True}, {"channels_last": False})


def unet_training(images: str, batch: int) -> Race:
    """Forward, backward, Adam. XLA's convolutions are expected to be 1.5 to 2 times slower: recorded, no limit."""
    of = {"images": images, "batch": batch, "task": "train"}
    return Race(
        f"unet-train-{images}-{batch}",
        f"U-Net, training step: {batch} images of {images}, width 32, (1, 2, 2), 2 blocks, Adam",
        (
            Row("cadlag `UNet`, one jitted step", "cadlag_unet", variants=(of,)),
            Row("cadlag `UNet`, five steps in one `minimise`, each", "cadlag_unet", variants=({**of, "loop": 5},)),
            Row("PyTorch, defaults", "torch_unet", True, threads(of)),
            Row("PyTorch, best of both layouts", "torch_unet", True, threads(*({**of, **b} for b in BEST))),
        ),
    )


def unet_forward(images: str, batch: int) -> Race:
    """As in a step of sampling: one level for the batch, no gradient."""
    of = {"images": images, "batch": batch, "task": "forward"}
    return Race(
        f"unet-forward-{images}-{batch}",
        f"U-Net, forward pass: {batch} images of {images} at one level",
        (
            Row("cadlag `UNet`", "cadlag_unet", variants=(of,)),
            Row("cadlag `UNet`, five passes in one scan, each", "cadlag_unet", variants=({**of, "loop": 5},)),
            Row("PyTorch, defaults", "torch_unet", True, threads(of)),
            Row("PyTorch, best of both layouts", "torch_unet", True, threads(*({**of, **b} for b in BEST)), goal=1.0),
        ),
    )


SCORE_MLP = Race(
    "score-mlp",
    "Score MLP, training step: 512 vectors of length 2, width 128, depth 3, Adam",
    (
        Row("cadlag `ScoreMLP`, one jitted step", "cadlag_mlp"),
        Row("cadlag `ScoreMLP`, ten steps in one `minimise`, each", "cadlag_mlp", variants=({"loop": 10},)),
        Row("PyTorch, defaults", "torch_mlp", True, threads({})),
        Row("PyTorch, fused Adam", "torch_mlp", True, threads({"fused": True}), required=1.0, goal=1.5),
    ),
)


def sampling(batch: int, images: str | None = None) -> Race:
    """Twenty steps of DPM-Solver++ of order 2, from the draw of the noise to the samples."""
    of = {"batch": batch} | ({} if images is None else {"images": images})
    what = f"{batch} images of {images}, the U-Net above" if images else f"{batch} vectors, the score MLP above"
    layouts = tuple({**of, **b} for b in BEST) if images else (of,)
    name = f"sample-{images or 'vectors'}-{batch}"
    return Race(
        name,
        f"Sampling: {what}, 20 steps of DPM-Solver++",
        (
            Row("cadlag `sample`", "cadlag_sampler", variants=(of,)),
            Row("diffusers, defaults", "diffusers_sampler", True, threads(of)),
            Row("diffusers, best of threads and layouts", "diffusers_sampler", True, threads(*layouts), goal=1.5),
        ),
    )


def simulation(problem: str, title: str) -> Race:
    """Order 4 and the 2/3 rule for both, all steps and the batch in one compiled call, float32."""
    of = {"problem": problem}
    ways = ({**of, "modes": True}, {**of, "modes": False})
    return Race(
        problem,
        title,
        (
            Row("cadlag `simulate`", "cadlag_pde", variants=(of,)),
            Row("cadlag `solve`, coefficients to coefficients", "cadlag_pde", variants=({**of, "modes": True},)),
            Row("hand-written scan", "scan_pde", variants=(of,), required=1 / 1.2),
            Row("exponax, best of its two ways", "exponax_pde", variants=ways, elsewhere=True, goal=1.0),
        ),
    )


JINNS_LAPLACIANS = ({"method": "trace_hessian_x"}, {"method": "loop"})


def physics(equation: str, points: int) -> Race:
    """A training step of a physics-informed network, 4 x 64 tanh, Adam. Goals: ahead at 512 points, level at 4096."""
    of = {"equation": equation, "points": points}
    goal = 1.0
    loops = tuple({**of, "loop": 10, **more} for more in (JINNS_LAPLACIANS if equation == "poisson" else ({},)))
    return Race(
        f"pinn-{equation}-{points}",
        f"Physics-informed training step: {equation}, {points} points, 4 x 64 tanh, Adam",
        (
            Row("cadlag `PINN`, ten steps in one `minimise`, each", "cadlag_pinn", variants=({**of, "loop": 10},)),
            Row("cadlag `PINN`, one jitted step", "cadlag_pinn", variants=(of,)),
            Row("JAX by hand, nested forward mode, ten steps, each", "jax_pinn", variants=({**of, "loop": 10},)),
            Row("DeepXDE, PyTorch", "deepxde_pinn", True, threads(of), goal=goal),
            Row("jinns, ten steps, each", "jinns_pinn", variants=loops, goal=goal, jinns=True),
        ),
    )


def operator(model: str, title: str, peer: Row, *others: Row) -> tuple[Race, Race]:
    """A training step with Adam, and a forward pass without gradient, 8 fields of 64 x 64."""

    def race(task: str, what: str) -> Race:
        of = {"model": model, "task": task}
        rows = tuple(replace(row, variants=threads({**of, **row.variants[0]})) for row in (peer, *others))
        return Race(
            f"{model}-{task}", f"{title}, {what}: 8 fields of 64 x 64", (Row(f"cadlag, {title}", "cadlag_operator",
                                                                      variants=(of,)), *rows)
        )  # fmt: skip

    return race("train", "training step"), race("forward", "forward pass")


OPERATORS = (
    *operator(
        "fno",
        "FNO, width 32, 12 modes, 4 layers",
        Row("neuraloperator, the same layers", "neuralop_fno", True, required=1.2, goal=1.5),
        Row("neuraloperator, its defaults", "neuralop_fno", True, variants=({"defaults": True},)),
    ),
    *operator(
        "mgno",
        "MgNO, width 24, 4 layers, 6 levels",
        Row("released code", "released_operator", True, needs_released=True),
    ),
    *operator(
        "sinenet",
        "SineNet, 4 waves, width 16",
        Row("released code", "released_operator", True, needs_released=True),
    ),
    *operator(
        "unet",
        "U-Net, width 32, (1, 2, 4), 2 blocks",
        Row("PDEArena", "released_operator", True, needs_released=True),
    ),
)


def kernels(task: str, title: str) -> Race:
    """Both kernels of all pairs in float32; an empirical kernel by the best of each side's ways."""
    of = {"task": task}
    ours, theirs = (of,), (of,)
    if task == "empirical":
        ours = tuple({**of, "method": m} for m in ("contraction", "structured"))
        ways = ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES")
        theirs = tuple({**of, "method": m} for m in ways)
    rows = (
        Row("cadlag", "cadlag_kernel", variants=ours),
        Row("neural-tangents", "nt_kernel", variants=theirs, elsewhere=True, required=1.0),
    )
    return Race(task, title, rows)


def curvature(task: str, title: str, required: float | None) -> Race:
    """A spectral density by one probe and twenty Lanczos steps."""
    of = {"task": task}
    rows = (
        Row("cadlag", "cadlag_curvature", variants=(of,)),
        Row("PyHessian", "pyhessian_curvature", True, threads(of), required=required),
    )
    return Race(task, title, rows)


SERIES = tuple(
    Race(
        f"series-{model}",
        f"{title}: one training step, 32 series of 100 rows and 6 channels",
        (
            Row("cadlag", "cadlag_series", variants=({"model": model},)),
            Row("cadlag, 20 steps in one loop", "cadlag_series", variants=({"model": model, "loop": 20},)),
            Row(peer, "torch_series", True, threads(*({"model": model, **v} for v in variants)), required=required,
                goal=goal),
        ),
    )
    for model, title, peer, variants, required, goal in (
        ("cde", "Neural CDE, state 32, Euler", "torchcde", ({},), 1.0, 5.0),
        ("ode", "Latent ODE, state 8, two evaluations a row", "torchdiffeq", ({}, {"adjoint": True}), 1.0, None),
        ("sde", "Latent SDE, state 8, Euler", "torchsde", ({}, {"interval": True}), 2.9, 3.5),
        ("gan", "SDE-GAN, state 8, critic and generator", "torchsde and torchcde", ({},), 2.9, 3.5),
    )
)  # fmt: skip

STATE_SPACES = tuple(
    Race(
        f"series-state-space-{name}",
        f"Linear state-space layer, {title}: a gradient, 16 series of 1,024 rows, 64 features, states of 64",
        (
            Row("cadlag", "cadlag_lssl", variants=({"learn": learn},)),
            Row("released code", "released_lssl", True, threads({"recompute": learn}), required=1.0,
                needs_released=True),
        ),
    )
    for name, title, learn in (("fixed", "A and steps fixed", False), ("learnt", "A and steps learnt", True))
)  # fmt: skip


TABLES = {
    "curvature": (
        curvature("mlp", "Spectral density of the Hessian of an MLP with 994,570 parameters, 512 examples", 1.0),
        curvature("conv", "Spectral density of the Hessian of three convolutions, 256 images of 16 x 16", None),
    ),
    "kernels": (
        kernels("dense-1000", "NNGP and NTK of a dense ReLU network, five hidden layers, 1,000 digits"),
        kernels("dense-1797", "NNGP and NTK of a dense ReLU network, five hidden layers, all 1,797 digits"),
        kernels("conv-flat", "NNGP and NTK of four convolutions and a flattening, 500 digits"),
        kernels("conv-pool", "NNGP and NTK of three convolutions and a global mean, 40 digits"),
        kernels("empirical", "Empirical NTK of a network of two convolutions, width 32, ten outputs, 60 digits"),
    ),
    "operators": OPERATORS,
    "simulators": (
        simulation("ks", "Kuramoto-Sivashinsky: 16 states of 128 points, length 64, 200 steps of 0.05"),
        simulation("burgers", "Burgers: 16 states of 256 points, nu = 0.05, 200 steps of 0.005"),
        simulation("ns", "Navier-Stokes, decaying: 4 states of 64 x 64, nu = 1e-3, 100 steps of 0.01"),
    ),
    "sde": (NEURAL_SDE, TRAINING_STEP),
    "series": SERIES + STATE_SPACES,
    "networks": (
        SCORE_MLP,
        unet_training("8x8", 32),
        unet_training("8x8", 128),
        unet_training("32x32", 32),
        unet_forward("8x8", 32),
        unet_forward("8x8", 128),
        unet_forward("32x32", 32),
    ),
    "physics": tuple(physics(name, n) for name in ("burgers", "allen-cahn", "poisson") for n in (512, 4096)),
    "samplers": (sampling(512), sampling(8192), sampling(32, "8x8")),
}
"""Which races stand in which table."""
