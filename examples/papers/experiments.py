"""The papers' experiments that run_all runs, and their sizes at each scale."""
from dataclasses import dataclass, field

SCALES = ("quick", "minutes", "hours", "full")


@dataclass(frozen=True)
class Size:
    """The arguments of one scale, the number of seeds, and the differences in size from the paper ("" for none)."""

    arguments: str
    seeds: int
    scaled: str = ""


@dataclass(frozen=True)
class Experiment:
    """A row of the table. Learners that the program can train alone (--only) run beside each other.

    `data` names the option of run_all for the user's copy of a data set, without which the row is left out.
    """

    name: str
    program: str  # a program of examples/, or a file of examples/python/
    reference: str
    sizes: dict = field(hash=False)
    learners: tuple = ()
    data: str = ""

    def size(self, scale):
        """The size at a scale. Without one of its own, full is hours and hours is minutes; None: left out."""
        if scale in self.sizes or scale in ("quick", "minutes"):
            return self.sizes.get(scale)
        return self.size(SCALES[SCALES.index(scale) - 1])

    @property
    def slug(self):
        """The name as a file name."""
        words = self.name.lower().replace("×", "x").replace("=", "").replace(",", "")
        return "_".join(words.split())


PICTURES = ("independent", "shared", "none")
MAZE = ("plain RNN", "decay", "Oja", "modulated", "fan-out", "retroactive")
LANGUAGE = ("LSTM", "plastic", "modulated", "retroactive")
CUE_REWARD = ("plain RNN", "plastic", "modulated", "retroactive")

EXPERIMENTS = [
    Experiment("2016 tasks", "tasks_2016", "author's logs: completion 2.0e-3, one-shot 9.1e-4, reversal 1.7e-3", {
        "quick": Size("--quick", 3),
        "minutes": Size("", 20)}),
    Experiment("2018 patterns, N = 1000", "patterns", "author's program: .77 % at episode 180; chance 25 %", {
        "minutes": Size("", 3),
        "hours": Size("", 5)}),
    Experiment("2018 patterns, N = 1001", "patterns", "author's program: .3 % at episode 300", {
        "minutes": Size("--bias --iterations 300", 3),
        "hours": Size("--bias --iterations 300", 5)}),
    Experiment("2018 patterns, 50 bits", "patterns", "LSTM and RNN need hundreds to thousands of times the episodes", {
        "quick": Size("--quick", 3, "1,500 episodes, 200 hidden neurons (published: 2,050)"),
        "minutes": Size("--small --iterations 3000", 3, "3,000 episodes, 200 hidden neurons (published: 2,050)"),
        "hours": Size("--small --iterations 20000 --hidden 500", 3, "20,000 episodes, 500 hidden neurons"),
        "full": Size("--small --iterations 200000 --hidden 2050", 3, "200,000 episodes")}),
    Experiment("2018 pictures, 14×14", "pictures", "shared α is worse", {
        "quick": Size("--quick", 3, "Fashion-MNIST, N = 197, 39 steps, 100 iterations of 16 episodes"),
        "minutes": Size("--iterations 400", 3, "Fashion-MNIST, N = 197, 39 steps, 400 iterations of 16 episodes"),
        "hours": Size("", 5, "Fashion-MNIST, N = 197, 39 steps, 1,500 iterations of 16 episodes")}, PICTURES),
    Experiment("2018 pictures, 28×28", "pictures", "shared α is worse", {
        "minutes": Size("--size 28 --iterations 250", 2, "Fashion-MNIST, N = 785, 39 steps, 250 iterations of 4 episodes"),
        "hours": Size("--size 28 --iterations 3000", 3,
                      "Fashion-MNIST, N = 785, 39 steps, 3,000 iterations of 4 episodes")}, PICTURES),
    Experiment("2018 pictures, CIFAR-10", "pictures", "shared α is worse", {
        "hours": Size("--iterations 1000", 3, "1,000 iterations of 4 episodes"),
        "full": Size("--iterations 30000", 3, "30,000 iterations of 4 episodes")}, PICTURES, "cifar"),
    Experiment("2018 one-shot, Fashion-MNIST", "one_shot", "98.3 % on Omniglot", {
        "quick": Size("--quick", 3, "two linear layers of 48 and 64, 400 iterations of 16 episodes"),
        "minutes": Size("", 3, "two linear layers of 128 and 64, 5,000 iterations of 16 episodes"),
        "hours": Size("--iterations 20000", 5, "two linear layers of 128 and 64, 20,000 iterations of 16 episodes")}),
    Experiment("2018 one-shot, Omniglot", "python/omniglot.py", "98.3 %", {
        "quick": Size("--images 20000 --episodes 200", 2, "20,000 drawings embedded"),
        "minutes": Size("--images 600000", 3, "600,000 drawings embedded"),
        "hours": Size("", 3, "5,000,000 drawings embedded, in shared pools"),
        "full": Size("--images 30000000", 3, "30,000,000 drawings embedded, in shared pools")}),
    Experiment("2018, 2019 maze", "maze", "plastic above plain, modulated above plastic", {
        "quick": Size("--quick", 5, "5×5, N = 40, T = 60, 400 iterations of 30 episodes"),
        "minutes": Size("--interior 7 --steps 100 --neurons 64", 3,
                        "7×7, N = 64, T = 100, 3,000 iterations of 30 episodes, learning rate 1e-3")}, MAZE),
    Experiment("2018, 2019 maze, 9×9", "maze", "plastic above plain, modulated above plastic", {
        "hours": Size("", 3, "3,000 iterations of 30 episodes, learning rate 1e-3"),
        "full": Size("--iterations 200000 --learning-rate 1e-4", 3)}, MAZE),
    Experiment("2019 cue-reward, cues together", "cue_reward", "modulated and retroactive learn, the others do not", {
        "quick": Size("--quick", 3, "both cues at once, 8 bits, N = 40, T = 40, 600 iterations of 30 episodes"),
        "minutes": Size("--quick", 5, "both cues at once, 8 bits, N = 40, T = 40, 600 iterations of 30 episodes")},
        CUE_REWARD),
    Experiment("2019 cue-reward, in turn", "cue_reward", "modulated and retroactive learn, the others do not", {
        "minutes": Size("", 3, "N = 40, T = 60, 10,000 iterations of 30 episodes")}, CUE_REWARD),
    Experiment("2019 cue-reward, N = 200", "cue_reward", "modulated and retroactive learn, the others do not", {
        "hours": Size("--neurons 200 --steps 120 --learning-rate 5e-4 --iterations 3000", 3,
                      "3,000 iterations of 30 episodes, learning rate 5e-4"),
        "full": Size("--neurons 200 --steps 120 --learning-rate 1e-4 --iterations 100000", 3, "100,000 iterations of 30 episodes")}, CUE_REWARD),
    Experiment("2019 language", "language", "perplexity of words: LSTM 62.48, modulated 61.44", {
        "quick": Size("--quick", 3, "characters, 200 KB, one layer of 48, 300 iterations"),
        "minutes": Size("--iterations 2000", 3, "characters, 200 KB, one layer of 128, 2,000 iterations"),
        "hours": Size("--iterations 8000", 5, "characters, 200 KB, one layer of 128, 8,000 iterations")}, LANGUAGE),
    Experiment("2019 language, words", "python/words.py",
               "LSTM 104.26, plastic 103.80, modulated 102.65, retroactive 102.48 (16 runs)",
               {"hours": Size("", 3)}, LANGUAGE, "penn_treebank"),
]
