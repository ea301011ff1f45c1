from .diagrams import diagram as diagram
from .explanation import Explanation as Explanation
from .explanation import explain as explain
from .recording import Tape as Tape
from .recording import record as record
