"""English words of the letters that a pen writes without lifting."""

from __future__ import annotations

__all__ = ["WORDS"]

# Common words, and some rare ones for the sake of q and z. The character trajectories have no
# f, i, j, k, t and x: those take more than one stroke.
WORDS: tuple[str, ...] = tuple(
    """
able above acres across advance age agreed ahead album all allow allowed alone along already
also always amaze among and annual any anyone appears apron are area arm armed arms around
average away baby bad bag balance ball band bar base based bazaar beach beard became because
become been began below bench beyond blood blue board body bone born boy boys breeze bronze
brown bus busy called came camera camp can cap capable car care career case cause cell cells
ceremony challenge chance change changed charge chess chosen class clean clear close closed club
coach coal cold colony color colored command common commonly conquer corner could couple
course covered cream crowd crowded cycle damaged dance day deal decades deep degree develop does
dog dogs dollar done door double down dozen drama drawn dress dressed drop drums dry due each
early earned easy economy edge end enemy energy engaged enough equal even ever every everyone
eye eyes game gas gave gaze generally glass glasses global goal goals gold gone good gradually
grass gray green grew ground group grow gun had hand happy hard has have haze hazel head hear
heavy held help her here hold hole home honor horse hour hours houses how huge hundred husband
label ladder lands language large larger launched law lazy lead leader learn leave leaves led
leg legal legs less level local long longer loss low lower made male man manager many map maze
meal means measure members memory men message model modern money more move moved much mushroom
name narrow near nearby nearly necessary need never newly normal nose novel now nuclear
number numbers observed ocean old older once one only opaque open order our over overall own
owner ozone paper parade passed pay peace people per perhaps person phone place places plan
plane play player plaza pleasure poem pole pool popular power presence pressure probably problem
program purple purpose quarrel quay queen race ramp range rarely razor reached read ready real
really rear reason rebel record red regarded regular released replaced rescue research response
role room rope rose round rule run rural same sand save saw scale scene scenes scholar school
schools score screen season second seconds secure see seen sense sequel sequence served seven
several severe shape shaped she shop shore should shoulder show shown slow small sneeze snow
snowy sold some someone son song soon soul sound source space speech speed spread squad square
squash squeeze subway success such summer sunny umbrella under unequal unusual upon upper urban
use used usually value very volume wall warm was wave waves way ways weapon well were when where
who whole whom whose why woman women won wood wooden woods word words would year years yellow
you young your zebra zero zone zoo
""".split()  # noqa: SIM905 (a list of 450 words in quotes is hard to read)
)
"""Words of three letters and more, sorted, all of abcdeghlmnopqrsuvwyz."""
