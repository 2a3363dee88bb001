"""The numbered equations that the modules of this package cite, in KaTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equation:
    """One equation: its number, what it says, its formula in KaTeX, and where it comes from."""

    number: int
    name: str
    katex: str
    source: str


_SECTION = "stylised model, after arXiv 2502.03044"
_VORONOI = "Voronoi losses of softmax-gated mixtures, as in arXiv 2502.03044"

EQUATIONS: tuple[Equation, ...] = (
    Equation(
        1,
        "regression function",
        r"f_G(x) = \sum_j \operatorname{softmax}_j\!\big(x^\top P_{Q,j} M_K x + c_j\big)\,(M_V + P_{V,j})\,x,"
        r"\quad P = b\,a^\top",
        _SECTION,
    ),
    Equation(2, "mixing measure", r"G = \sum_j e^{c_j}\,\delta_{(P_{Q,j},\,P_{V,j})}", _SECTION),
    Equation(
        3,
        "sharing",
        r"\text{plain: } b_Q, b_V \text{ free};\quad \text{shared: } b_Q = b_V = b;\quad"
        r"\text{tanh: } b_Q = b_V = s \tanh(\beta / s)",
        _SECTION,
    ),
    Equation(
        4,
        "Voronoi cell",
        r"\mathcal V_j = \{\, i : \|P_i - P_j^*\| \le \|P_i - P_l^*\| \ \forall l \,\},\quad"
        r"\|P\|^2 = \|P_Q\|^2 + \|P_V\|^2",
        _VORONOI,
    ),
    Equation(
        5,
        "loss D_1,r",
        r"D_{1,r} = \sum_j \Big|\sum_{i \in \mathcal V_j} e^{c_i} - e^{c_j^*}\Big| + \sum_j \sum_{i \in \mathcal V_j}"
        r" e^{c_i}\big(\|\Delta P_{Q,ij}\|^r + \|\Delta P_{V,ij}\|^r\big),\quad D_1 = D_{1,1}",
        _VORONOI,
    ),
    Equation(
        6,
        "loss D_2",
        r"D_2 = \sum_j \Big|\sum_{i \in \mathcal V_j} e^{c_i} - e^{c_j^*}\Big| + \sum_j \sum_{i \in \mathcal V_j}"
        r" e^{c_i}\big(\|\Delta P_{Q,ij}\|^{r_j} + \|\Delta P_{V,ij}\|^{r_j}\big),\quad"
        r" r_j = 1 \text{ if } |\mathcal V_j| = 1,\ 2 \text{ if } |\mathcal V_j| > 1",
        _VORONOI,
    ),
    Equation(
        7,
        "split",
        r"e^{c_1} \delta_{b_1} \;\to\; \tfrac12 e^{c_1}\big(\delta_{b_1 + \delta u} + \delta_{b_1 - \delta u}\big)",
        _SECTION,
    ),
    Equation(
        8,
        "excess loss and its exponent",
        r"\|f_\delta - f^*\|^2 = \tfrac1m \sum_k |f_\delta(x_k) - f^*(x_k)|^2 \sim (\kappa\,\delta^{p})^2",
        "definition",
    ),
    Equation(
        9,
        "leading coefficient of a shared split",
        r"f_\delta - f^* = \delta^2 g_1 v \big[\tfrac12 t^2 (b_1 - s) + t\,u\big] + O(\delta^4),"
        r"\quad t = k\,(u^\top x),\ k = a^\top M_K x,\ v = a^\top x,\ s = \textstyle\sum_j g_j b_{V,j}",
        "second-order expansion of equation 1",
    ),
    Equation(
        10,
        "Fisher information of one observation",
        r"I(\theta) = \frac{1}{m \sigma^2} \sum_k J_k^\top J_k,\quad J_k = \partial f_\theta(x_k) / \partial \theta",
        "Gaussian noise",
    ),
    Equation(
        11,
        "samples to tell a split from none",
        r"n(\delta) = \frac{4 z^2 \sigma^2}{\|f_\delta - f^*\|^2},\quad z = \Phi^{-1}(0.95)",
        "Neyman and Pearson: two Gaussian means at equal errors of 5 %",
    ),
    Equation(
        12,
        "profile deviance",
        r"d(\delta) = \frac{n}{\sigma^2} \min_{\theta:\ b_{1a} - b_{1b} = 2 \delta u} \|f_\theta - f^*\|^2",
        "likelihood ratio without noise",
    ),
    Equation(
        13,
        "averages are sufficient",
        r"\sum_{k} \sum_{t \le n/m} |Y_{kt} - f(x_k)|^2 = \text{const} + \tfrac nm \sum_k |\bar Y_k - f(x_k)|^2,\quad"
        r" \bar Y_k \sim N\!\big(f^*(x_k), \sigma^2 \tfrac mn\big)",
        "repeated design",
    ),
    Equation(
        14,
        "Jacobian and damped step",
        r"\partial_{c_i} f = g_i v (b_{V,i} - s),\ \partial_{b_{Q,i}} f = \partial_{c_i} f\; k x^\top,\ "
        r"\partial_{b_{V,i}} f = g_i v I;\quad (J^\top J + \mu I)\,h = -J^\top r",
        "equation 1; Levenberg 1944, Marquardt 1963",
    ),
    Equation(
        15,
        "gain rule",
        r"\varrho = \frac{F(\theta) - F(\theta + h)}{L(0) - L(h)};\quad \varrho > 0:"
        r"\ \mu \leftarrow \mu \max\{\tfrac13, 1 - (2 \varrho - 1)^3\},\ \nu \leftarrow 2;"
        r"\quad \text{else } \mu \leftarrow \mu \nu,\ \nu \leftarrow 2 \nu",
        "Nielsen 1999",
    ),
    Equation(16, "prediction error", r"\|\hat f - f^*\|", "definition, norm of equation 8"),
    Equation(
        17,
        "regular prediction error",
        r"n\,E\|\hat f - f^*\|^2 / \sigma^2 \to p",
        "least squares with p identified parameters",
    ),
    Equation(
        18,
        "untied truth and floor",
        r"b_{Q,j} = b_{V,j} + \eta \mathbf 1,\quad \min_{\theta} \|f_\theta - f^*\|",
        _SECTION,
    ),
)
