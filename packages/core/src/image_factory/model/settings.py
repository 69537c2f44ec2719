"""Settings of one image-factory folder: config.yaml's shape, with every default. Pure.

Flags win over the environment, the environment over config.yaml, config.yaml over these defaults;
`image_factory.shell.settings` joins them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from image_factory.model.cluster import (
    CatalogSettings,
    Environment,
    ExternalSecretsSettings,
    KyvernoSettings,
    SecretSettings,
    Sender,
)
from image_factory.model.cluster_jobs import CloneUrl, JobSettings
from image_factory.model.enrollment import Duration, Label, Record
from image_factory.model.field_types import (
    CommitterName,
    EmailAddress,
    GitRef,
    InnerPath,
    KargoVersion,
    PinnedImage,
    Plain,
    RegistryHost,
    RemoteName,
    Text,
    WebAddress,
)
from image_factory.model.image_state import Time

Location = Annotated[str, Field(min_length=1)]
"""A path, from the folder on where it is relative."""


class RegistrySettings(Record):
    """What differs for one registry host."""

    endpoint: WebAddress | None = Field(default=None, examples=["https://mirror.example.com/hub"])
    """A mirror or proxy to ask in its place; the images keep their names."""
    plain_http: bool = Field(default=False, examples=["true"])
    """Whether to speak http; loopback hosts may always."""
    ca_file: Location | None = Field(default=None, examples=["ca.pem"])
    """The certificates to trust beside the system's, as a PEM file."""
    token_realms: tuple[RegistryHost, ...] = Field(default=(), examples=["[auth.example.com]"])
    """Further hosts that may be sent this registry's credentials for a token."""
    requests_per_day: int | None = Field(default=None, ge=0, examples=["1000"])
    """The requests that it allows us, where its plugin does not know better."""


class CommitSettings(Record):
    """Who commits state, and whether it is pushed."""

    name: CommitterName = Field(default="Image Factory Bot", examples=["Image Factory Bot"])
    """The committer's name."""
    email: EmailAddress = Field(
        default="image-factory-bot@users.noreply.github.com", examples=["image-factory@example.com"]
    )
    """The committer's address."""
    push: bool = Field(default=False, examples=["true"])
    """Whether a commit is pushed at once."""
    remote: RemoteName = Field(default="origin", examples=["origin"])
    """The remote that is pushed to."""
    branch: GitRef | None = Field(default=None, examples=["main"])
    """The branch that is pushed to; the one that is checked out where it is not given."""


class KargoSettings(Record):
    """What synth needs to know of the cluster."""

    version: KargoVersion = Field(default="1.11", examples=['"1.11"'])
    """The version of Kargo that the resources are for."""
    namespace: Label = Field(default="image-factory-kargo", examples=["image-factory-kargo"])
    """The namespace, and the name of the Project."""
    service_account: Label = Field(default="image-factory", examples=["image-factory"])
    """The ServiceAccount that jobs run as."""
    base_interval: Duration = Field(default=timedelta(hours=24), examples=["24h"])
    """How often base and external images are asked for; never more than once a day."""
    managed_interval: Duration = Field(default=timedelta(minutes=5), examples=["5m"])
    """How often managed images are asked for; public registries have a floor of their own."""
    request_interval: Duration = Field(default=timedelta(minutes=5), examples=["1h"])
    """How often the cluster looks for the requests of each managed image, where no webhook tells it of one."""
    git_credentials: Label = Field(default="github-credentials", examples=["github-credentials"])
    """The Secret with the credentials for git."""
    credentials: dict[Plain, SecretSettings] = Field(
        default_factory=dict, examples=["{gitlab: {secret: gitlab-trigger, key: token}}"]
    )
    """The tokens that start builds, by provider; else the password of `gitCredentials`, for GitLab `gitlab-trigger`."""
    job_environment: dict[Environment, SecretSettings] = Field(
        default_factory=dict, examples=["{GITHUB_TOKEN: {secret: github-credentials}}"]
    )
    """Variables that jobs get from Secrets: the tokens that plugins of sources and registries look for."""
    source_credentials: dict[RegistryHost, Label] = Field(
        default_factory=dict, examples=["{gitlab.example.com: gitlab-credentials}"]
    )
    """The Secrets by which Kargo clones and pushes at further git hosts, by host."""
    registry_credentials: dict[RegistryHost, Label] = Field(default_factory=dict, examples=["{ghcr.io: ghcr-pull}"])
    """The Secrets by which Kargo reads private registries, by host."""
    webhooks: dict[Sender, Label] = Field(default_factory=dict, examples=["{github: github-webhook}"])
    """The Secrets of webhook receivers, by what sends to them; there is no receiver where none is named."""
    external_secrets: ExternalSecretsSettings | None = Field(default=None, examples=["{store: platform}"])
    """Has External Secrets bring the Secrets; without it somebody else does."""
    kyverno: KyvernoSettings | None = Field(default=None, examples=["{sourceNamespace: platform-secrets}"])
    """Has Kyverno copy the Secrets; without it somebody else does."""
    state_repository: CloneUrl | None = Field(default=None, examples=["https://github.com/acme/platform.git"])
    """The clone URL of the repository that holds this folder; where it is not given, nothing subscribes to it."""
    state_branch: GitRef = Field(default="main", examples=["main"])
    """The branch of it that holds the state."""
    state_path: InnerPath = Field(default="image-factory", examples=["image-factory"])
    """Where this folder lies in that repository."""
    job_image: PinnedImage | None = Field(default=None, examples=["ghcr.io/craigedmunds/image-factory:0.1.0"])
    """The container image that jobs run: this project's own, by digest or version. Needed with `stateRepository`."""
    jobs: JobSettings = JobSettings.model_construct()
    """How the jobs of the cluster are called, when they run, and what they may take."""
    start_timeout: Duration = Field(default=timedelta(minutes=30), examples=["30m"])
    """With `engine: kargo`: how long after its request a build must have been started, before it counts as failed."""


class Freeze(Record):
    """A time in which nothing is rebuilt, but for emergencies."""

    reason: Text = Field(examples=["year-end closing"])
    """Why; it is shown wherever something waits for it."""
    from_: Time = Field(alias="from", examples=['"2026-12-20T00:00:00Z"'])
    """When it begins."""
    until: Time = Field(examples=['"2027-01-03T00:00:00Z"'])
    """When it ends."""
    images: tuple[Label, ...] = Field(default=(), examples=["[shop, payments]"])
    """The images that it holds for; all of them where none is named."""


class EmergencyRule(Record):
    """Who may order an emergency rebuild of some images, in the manner of CODEOWNERS: the last that fits decides."""

    images: tuple[Plain, ...] = Field(examples=['["shop-*"]'])
    """Names of images; `*` stands for any part of one."""
    actors: tuple[Plain, ...] = Field(examples=['["@security", alice]'])
    """Who may: actors, and teams with an @ before them."""


class EmergencySettings(Record):
    """Who may order emergency rebuilds, and when their number is an alarm."""

    actors: tuple[Plain, ...] = Field(default=(), examples=['["@security"]'])
    """Who may order them for any image that no rule names: actors, and teams with an @ before them."""
    teams: dict[Plain, tuple[Plain, ...]] = Field(default_factory=dict, examples=["{security: [alice, bob]}"])
    """The actors of each team."""
    rules: tuple[EmergencyRule, ...] = Field(default=(), examples=['[{images: ["shop-*"], actors: [alice]}]'])
    """Who may order them for single images."""
    trusted_identities: tuple[Literal["oidc", "git-signature", "unverified"], ...] = Field(
        default=("oidc", "git-signature"), examples=["[oidc]"]
    )
    """What must vouch for the actor: the CI's OIDC token, git's signature, or nothing (`unverified`)."""
    oidc_issuers: tuple[WebAddress, ...] = Field(default=(), examples=["[https://token.actions.githubusercontent.com]"])
    """The issuers whose OIDC tokens are believed."""
    alert_after: int = Field(default=3, ge=0, examples=["3"])
    """More orders than this within `alertWindow` raise an alarm."""
    alert_window: Duration = Field(default=timedelta(days=30), examples=["30d"])
    """The time over which orders are counted."""


class WatchSettings(Record):
    """How often registries are asked."""

    public_interval: Duration = Field(default=timedelta(hours=24), examples=["24h"])
    """How often a reference is asked for at a registry that limits requests; never more than once a day."""
    private_interval: Duration = Field(default=timedelta(hours=1), examples=["1h"])
    """How often a reference is asked for at any other."""
    source_interval: Duration = Field(default=timedelta(hours=1), examples=["1h"])
    """How often a run asks a repository elsewhere whether a branch has moved."""
    longest_interval: Duration = Field(default=timedelta(days=3), examples=["3d"])
    """How far apart the checks of a reference that hardly ever moves may come to lie."""


Engine = Literal["embedded", "kargo"]
"""What starts builds: this program itself, or Kargo on a cluster, by the resources that synth writes."""


class Settings(Record):
    """All settings of one image-factory folder."""

    engine: Engine = Field(default="embedded", examples=["kargo"])
    """What starts builds: `embedded`, so `run` and `dispatch` do; or `kargo`, so the cluster does, and they do not."""
    images_file: Location = Field(default="images.yaml", examples=["images.yaml"])
    """The file of enrollments."""
    state_dir: Location = Field(default="state", examples=["state"])
    """The folder of what the program knows."""
    dist_dir: Location = Field(default="dist", examples=["dist"])
    """The folder of what synth writes."""
    registries: dict[RegistryHost, RegistrySettings] = Field(default_factory=dict)
    """What differs for single registries, by host."""
    disabled_plugins: tuple[Plain, ...] = Field(default=(), examples=["[dockerhub]"])
    """Plugins that are installed and not to be loaded."""
    coordination_window: Duration = Field(default=timedelta(minutes=30), examples=["30m"])
    """How long a due image waits for further causes, so that they make one rebuild."""
    max_concurrent_rebuilds: int = Field(default=10, ge=1, examples=["10"])
    """How many rebuilds may be under way at once; emergencies do not wait for a place."""
    build_timeout: Duration = Field(default=timedelta(hours=6), examples=["6h"])
    """How long a build may take before it counts as failed."""
    retry_delay: Duration = Field(default=timedelta(hours=1), examples=["1h"])
    """How long a rebuild waits after its first failure; twice as long after each further one."""
    quarantine_after: int = Field(default=3, ge=1, examples=["3"])
    """After how many failures with the same inputs an image is left alone until something changes."""
    freezes: tuple[Freeze, ...] = Field(
        default=(),
        examples=['[{reason: year-end closing, from: "2026-12-20T00:00:00Z", until: "2027-01-03T00:00:00Z"}]'],
    )
    """Times in which nothing is rebuilt."""
    watch: WatchSettings = WatchSettings.model_construct()
    """How often registries are asked."""
    emergency: EmergencySettings = EmergencySettings.model_construct()
    """Who may order emergency rebuilds."""
    commit: CommitSettings = CommitSettings.model_construct()
    """Who commits state, and whether it is pushed."""
    kargo: KargoSettings = KargoSettings.model_construct()
    """What synth needs to know of the cluster."""
    catalog: CatalogSettings = CatalogSettings.model_construct()
    """Backstage entities of all images."""
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """One free map a plugin, under the plugin's name; the plugin checks it."""

    @property
    def starts_builds(self) -> bool:
        """Whether this program starts builds; else Kargo does."""
        return self.engine == "embedded"
