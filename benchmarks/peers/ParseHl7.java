import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.model.v251.datatype.NM;
import ca.uhn.hl7v2.model.v251.group.ORU_R01_ORDER_OBSERVATION;
import ca.uhn.hl7v2.model.v251.group.ORU_R01_PATIENT_RESULT;
import ca.uhn.hl7v2.model.v251.message.ORU_R01;
import ca.uhn.hl7v2.model.v251.segment.OBX;
import ca.uhn.hl7v2.parser.PipeParser;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;

/** HAPI HL7v2 reading ORU^R01 by its typed classes, without validation: a peer for {@code benchmarks/codec_speed.py}. */
public final class ParseHl7 {
  public static void main(String[] arguments) throws Exception {
    DefaultHapiContext context = new DefaultHapiContext();
    context.setValidationContext(ValidationContextFactory.noValidation());
    context.getParserConfiguration().setValidating(false);
    PipeParser parser = context.getPipeParser();
    Turns.take(arguments[0], text -> read(parser, text));
  }

  private static long read(PipeParser parser, String text) throws Exception {
    ORU_R01 message = (ORU_R01) parser.parse(text);
    ORU_R01_PATIENT_RESULT result = message.getPATIENT_RESULT();
    long sum = result.getPATIENT().getPID().getPid3_PatientIdentifierList(0).getIDNumber().getValue().hashCode();
    ORU_R01_ORDER_OBSERVATION order = result.getORDER_OBSERVATION();
    for (int number = 0; number < order.getOBSERVATIONReps(); number++) {
      OBX obx = order.getOBSERVATION(number).getOBX();
      sum += obx.getObx3_ObservationIdentifier().getIdentifier().getValue().hashCode();
      sum += Math.round(Double.parseDouble(((NM) obx.getObx5_ObservationValue(0).getData()).getValue()));
      sum += obx.getObx6_Units().getIdentifier().getValue().hashCode();
      sum += obx.getObx14_DateTimeOfTheObservation().getTime().getValueAsDate().getTime();
    }
    return sum;
  }
}
